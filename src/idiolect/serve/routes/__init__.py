"""The paths of a gateway, one module by subject; `table` lists them, for the server and for its OpenAPI document."""
