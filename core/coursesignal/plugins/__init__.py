"""The plugin host: it finds, checks, loads, gates and calls plugins. Plugins see :mod:`coursesignal.plugin` only."""
