"""RQ's job: it does nothing."""


def noop(*_arguments):
    return None
