"""``python -m coursesignal``."""

from coursesignal.cli import main

main()
