"""Class names with their synonyms, examples of classes, the built-in lists, and the background that competes."""

from maskadapter.vocabulary.background import BACKGROUND, COMPETING, background_line, competing_classes
from maskadapter.vocabulary.example import Example, split_examples
from maskadapter.vocabulary.joining import join_vocabularies
from maskadapter.vocabulary.scripts import in_other_scripts, warn_of_scripts
from maskadapter.vocabulary.vocabulary import TEMPLATES, Vocabulary, builtin_names, comparable
