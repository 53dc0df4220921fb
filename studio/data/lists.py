"""Ready prompt lists. The animals are the 45 of DDPO (kvablack/ddpo-pytorch, MIT, Copyright (c) 2023 Kevin Black)."""

_ANIMALS = """
cat dog horse monkey rabbit zebra spider bird sheep deer cow goat lion tiger bear raccoon fox wolf lizard beetle ant
butterfly fish shark whale dolphin squirrel mouse rat snake turtle frog chicken duck goose bee pig turkey fly llama
camel bat gorilla hedgehog kangaroo
"""

READY = [
    {"name": "One cat", "prompts": ["cat"]},
    {"name": "Four animals", "prompts": ["cat", "dog", "rabbit", "fish"]},
    {"name": "Simple animals", "prompts": _ANIMALS.split()},
    {
        "name": "Food",
        "prompts": ["apple", "bread", "cake", "carrot", "cheese", "egg", "grapes", "ice cream", "mushroom", "pizza", "strawberry", "sushi"],
    },
]
