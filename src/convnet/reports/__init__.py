"""Pages and pictures of runs: views of the run folder that hold no state of their own.

Callers import `run_page` and `compare_page` where they draw: matplotlib takes half a second to load.
"""
