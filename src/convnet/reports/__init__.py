"""HTML pages and figures of runs, comparisons and audits.

Callers import the modules inside functions, because matplotlib takes half a second to load.
"""

from convnet.reports.backend import import_matplotlib

import_matplotlib()
