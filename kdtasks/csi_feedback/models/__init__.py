"""Encoders and decoders of CSI feedback."""
