"""HTML pages and figures of runs, comparisons and audits.

Callers import the modules inside functions, because matplotlib takes half a second to load.
"""
