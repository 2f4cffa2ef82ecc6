"""From a series that is due to its report, on threads of this process or on Celery workers."""
