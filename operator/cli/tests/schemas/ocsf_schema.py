"""Compiles one OCSF class into a JSON Schema: python3 ocsf_schema.py CHECKOUT CATEGORY CLASS > FILE

Takes a checkout of the OCSF schema at the released version. Profiles are not applied. Of objects, only those in OBJECTS
are kept, so an event with an attribute of any other object is refused.
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(sys.argv[1])
CATEGORY, CLASS = sys.argv[2:]
EVENT = f"events/{CATEGORY}/{CLASS}.json"
OBJECTS = {
    "detection_finding": ["metadata", "product", "finding_info", "analytic", "graph", "node", "edge", "evidences",
                          "resource_details", "remediation", "object"],
    "application_error": ["metadata", "product", "object"],
}[CLASS]


def read(path):
    return json.loads((ROOT / path).read_text())


DICTIONARY = read("dictionary.json")
TYPES = DICTIONARY["types"]["attributes"]
PLACES = {read_["name"]: path for path in ROOT.glob("*/**/*.json") if (read_ := json.loads(path.read_text())).get("name")
          and path.parent.name != "profiles" and "extensions" not in path.parts and "metaschema" not in path.parts}


def merged(definition):
    """Attributes and constraints with those of all it extends; the child's words stand over the parent's."""
    base = definition.get("extends")
    attributes, constraints = merged(json.loads(PLACES[base].read_text())) if base else ({}, {})
    for name, attribute in definition["attributes"].items():
        if name.startswith("$"):
            continue
        before = attributes.get(name, {})
        attributes[name] = {**before, **attribute, "enum": {**before.get("enum", {}), **attribute.get("enum", {})}}
    return attributes, definition.get("constraints", constraints)


def simple(kind):
    """A scalar type of the dictionary."""
    definition = TYPES[kind]
    base = definition.get("type", kind)
    schema = {"string_t": {"type": "string"}, "integer_t": {"type": "integer"}, "long_t": {"type": "integer"},
              "boolean_t": {"type": "boolean"}, "float_t": {"type": "number"}, "json_t": {}}[base]
    return {**schema, **({"maxLength": definition["max_len"]} if "max_len" in definition else {})}


def schema_of(definition, fixed):
    attributes, constraints = merged(definition)
    properties, required = {}, []
    for name, attribute in sorted(attributes.items()):
        if attribute.get("profile"):
            continue
        word = DICTIONARY["attributes"][name]
        kind = attribute.get("type", word["type"])
        if attribute.get("requirement", word.get("requirement")) == "required":
            required.append(name)
        if kind.endswith("_t"):
            one = simple(kind)
            numbers = {**word.get("enum", {}), **attribute["enum"]}
            if name in fixed:
                one = {"enum": fixed[name]}
            elif numbers and kind == "integer_t":
                one = {"enum": sorted(int(number) for number in numbers)}
        elif kind in OBJECTS:
            one = {"$ref": f"#/$defs/{kind}"}
        else:
            continue
        many = attribute.get("is_array", word.get("is_array", False))
        properties[name] = {"type": "array", "items": one} if many else one
    schema = {"type": "object", "properties": properties, "required": sorted(required), "additionalProperties": False}
    if "at_least_one" in constraints:
        schema["anyOf"] = [{"required": [name]} for name in constraints["at_least_one"]]
    if "just_one" in constraints:
        schema["oneOf"] = [{"required": [name]} for name in constraints["just_one"]]
    return schema


event = read(EVENT)
category = read("categories.json")["attributes"][CATEGORY]["uid"]
uid = category * 1000 + event["uid"]
activities, _ = merged(event)
fixed = {"class_uid": [uid], "category_uid": [category],
         "type_uid": sorted(uid * 100 + int(number) for number in activities["activity_id"]["enum"])}
schema = schema_of(event, fixed)
schema["$defs"] = {name: {"type": "object"} if name == "object" else schema_of(json.loads(PLACES[name].read_text()), {})
                   for name in OBJECTS}
print(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema",
                  "title": f"OCSF {read('version.json')['version']} {event['caption']}", **schema}, indent=1, sort_keys=True))
