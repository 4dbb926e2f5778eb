"""Steps that seek flat minima."""
