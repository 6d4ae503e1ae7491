"""The Ray Serve app of ModelEndpoint: one application per model version and one HTTP ingress."""
