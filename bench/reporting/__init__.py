"""From records to tables, figures and pages; it never trains."""
