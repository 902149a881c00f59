"""The outcomes of records whose handler has ended.

`outcomes.py` decides and does it, `returned.py` sends what a handler returned, `failure_log.py`
writes what operators read, `results.py` has what stands for a handler's end. Used by processors;
knows nothing of lanes, workers and the handler itself.
"""
