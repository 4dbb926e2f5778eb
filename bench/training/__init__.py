"""One run: settings, network, data, training, measuring, record."""
