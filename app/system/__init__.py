"""What belongs to the service itself: its health, its documentation, the meaning of its problems.

Public modules: none.
"""
