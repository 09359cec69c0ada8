"""Class names with their synonyms, and the built-in lists."""

from maskadapter.vocabulary.vocabulary import BACKGROUND, TEMPLATES, Vocabulary, builtin_names
