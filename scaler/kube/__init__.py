"""The Kubernetes edge of the scaler: the only place that knows the client library."""
