"""Status reports of the other services: what each changes in the truth, one module for each kind of reporter.

Reports come at least once and late: each is compared with the present state, and one that tells nothing new is
ignored. A report counts only from the service and site that it speaks for, which the broker binds to the subject.
"""
