"""Measuring an installation on one machine: what ``coursesignal bench`` runs."""
