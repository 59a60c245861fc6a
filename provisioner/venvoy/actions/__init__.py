"""The verbs, one file each: functions over the nouns that front ends call."""
