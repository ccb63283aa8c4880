"""CourseSignal: which marketing brought which sale, to the cent."""

__version__ = "0.1.0"
