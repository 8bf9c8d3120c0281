"""Status reports of the other services, and what each changes: one module for each kind of reporter.

Reports come at least once and late: each is compared with the present state, and one with nothing new is ignored. A
report counts only from the service and place that it is about, which the broker binds to the subject.
"""
