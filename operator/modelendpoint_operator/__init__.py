"""ModelEndpoint: the operator, its API types and the command `modelendpoint`."""
