"""By what packages arrive: each manager turns a wish into a Job."""
