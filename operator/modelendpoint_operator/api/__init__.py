"""The API of ModelEndpoint: types, rules, and everything that is generated from them."""
