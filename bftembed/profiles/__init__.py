"""What a profile is about, how it is asked for, cleaned and kept."""

from bftembed.profiles.bundles import Bundle, BundledFile, BundleIndex, BundleVersion
from bftembed.profiles.clean import CleanedText, clean
from bftembed.profiles.entity import Entity, Kind
from bftembed.profiles.exports import Profile
from bftembed.profiles.given import read_profiles, read_texts
from bftembed.profiles.recipe import Recipe, prompts_with_facts
from bftembed.profiles.store import ProfileStore
from bftembed.profiles.template import PromptTemplate, load_template
from bftembed.profiles.write import Plan, WriteResult, estimate, nearby, plan_profiles, write_profiles

__all__ = [
    "Bundle",
    "BundleIndex",
    "BundleVersion",
    "BundledFile",
    "CleanedText",
    "Entity",
    "Kind",
    "Plan",
    "Profile",
    "ProfileStore",
    "PromptTemplate",
    "Recipe",
    "WriteResult",
    "clean",
    "estimate",
    "load_template",
    "nearby",
    "plan_profiles",
    "prompts_with_facts",
    "read_profiles",
    "read_texts",
    "write_profiles",
]
