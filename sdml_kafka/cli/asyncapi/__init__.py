"""`sdml-kafka asyncapi`: writes the AsyncAPI document of a program. Nothing is connected."""
