"""OpenTelemetry: spans and metrics by the semantic conventions for HTTP clients. Needs the extra `otel`."""
