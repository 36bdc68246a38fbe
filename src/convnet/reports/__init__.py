"""Pages and pictures of runs: views of the run folder that hold no state of their own."""

from convnet.reports.compare_page import Variant, write_compare_report
from convnet.reports.run_page import write_run_report

__all__ = ["Variant", "write_compare_report", "write_run_report"]
