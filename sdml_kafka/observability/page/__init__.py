"""The live page: files that a browser loads, and the answers that serve them.

`routes.py` of the folder above serves it beside /status.json, which the page asks again and again.
Nothing of a status is ever put into HTML here: the script writes it as text.
"""
