"""Dead letters over HTTP: lists them, shows one, and sends them anew, for whoever has the token.

`routes.py` of the folder above serves it, and the page asks it. What dead letters are, and how they
are sent, is in `sdml_kafka/dead_letters/`. It must not know how the page looks.
"""
