"""Training readers: recipes, fine-tuning, distillation."""

from lodestone.training.recipe import Recipe
from lodestone.training.recipe_file import read_recipe, shipped_recipes

__all__ = ["Recipe", "read_recipe", "shipped_recipes"]
