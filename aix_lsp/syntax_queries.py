"""What the node types of the ten grammars mean: definitions, containers, comments, strings and imports.

The names are those of the grammars' own `node-types.json`. One table serves all grammars: where two of them use
a name, they mean the same by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

DefinitionKind = Literal[
    "class", "interface", "enum", "type", "function", "method", "variable", "field", "constant", "macro"
]

MODULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "python": ("tree_sitter_python", "language"),
        "javascript": ("tree_sitter_javascript", "language"),
        "typescript": ("tree_sitter_typescript", "language_typescript"),
        "tsx": ("tree_sitter_typescript", "language_tsx"),
        "java": ("tree_sitter_java", "language"),
        "go": ("tree_sitter_go", "language"),
        "rust": ("tree_sitter_rust", "language"),
        "c": ("tree_sitter_c", "language"),
        "cpp": ("tree_sitter_cpp", "language"),
        "csharp": ("tree_sitter_c_sharp", "language"),
    }
)
"""Grammar name -> package of the wheel, and its function that gives the language."""


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def _kinds(**listed: str) -> Mapping[str, DefinitionKind]:
    names: dict[str, DefinitionKind] = {
        "class_": "class",
        "interface": "interface",
        "enum": "enum",
        "type_": "type",
        "function": "function",
        "method": "method",
        "variable": "variable",
        "field": "field",
        "constant": "constant",
        "macro": "macro",
    }
    return MappingProxyType({node: names[kind] for kind, nodes in listed.items() for node in nodes.split()})


DEFINITIONS = _kinds(
    class_="class_definition class_declaration abstract_class_declaration class_specifier struct_specifier "
    "union_specifier struct_item union_item struct_declaration record_declaration",
    interface="interface_declaration trait_item annotation_type_declaration",
    enum="enum_declaration enum_item enum_specifier",
    type_="type_alias_declaration type_spec type_alias type_item alias_declaration delegate_declaration "
    "type_alias_statement type_definition associated_type concept_definition",
    function="function_definition function_declaration generator_function_declaration function_item "
    "function_signature_item function_signature",
    method="method_definition method_declaration method_signature abstract_method_signature method_elem "
    "constructor_declaration compact_constructor_declaration destructor_declaration "
    "annotation_type_element_declaration",
    variable="variable_declarator var_spec static_item assignment declaration",
    field="public_field_definition field_definition property_signature property_declaration field_declaration",
    constant="const_spec const_item enum_constant enumerator enum_variant enum_member_declaration",
    macro="preproc_def preproc_function_def macro_definition",
)
"""Node type -> what it defines."""

TYPES: frozenset[DefinitionKind] = frozenset(("class", "interface", "enum"))
CALLABLES: frozenset[DefinitionKind] = frozenset(("function", "method"))

NEED_BODY = frozenset(("class_specifier", "struct_specifier", "union_specifier", "enum_specifier"))
"""In C and C++ these without a body only mention a type."""

NAME_FIELDS: Mapping[str, str] = MappingProxyType({"assignment": "left", "field_definition": "property"})
"""Where the name stands, if not in the field `name` or in a declarator."""

NAME_LISTS = frozenset(("pattern_list", "tuple_pattern"))
NOT_NAMES = frozenset(("attribute", "subscript", "object_pattern", "array_pattern", "list_pattern", "ERROR"))

CONTAINERS = _words(
    "module program source_file translation_unit compilation_unit "
    "block decorated_definition if_statement elif_clause else_clause try_statement except_clause finally_clause "
    "export_statement ambient_declaration internal_module statement_block expression_statement "
    "lexical_declaration variable_declaration const_declaration var_declaration var_spec_list type_declaration "
    "namespace_definition namespace_declaration linkage_specification template_declaration declaration_list "
    "preproc_ifdef preproc_if preproc_else preproc_elif preproc_elifdef "
    "class_body interface_body enum_body enum_body_declarations annotation_type_body field_declaration_list "
    "enumerator_list enum_variant_list enum_member_declaration_list object_type struct_type interface_type "
    "impl_item mod_item foreign_mod_item event_field_declaration"
)

"""Node types whose children may be definitions, besides the types among the definitions themselves."""

WRAPPERS = frozenset(("decorated_definition", "export_statement", "ambient_declaration", "template_declaration"))
"""Nodes that belong to the one definition inside them: its lines begin with theirs."""

HEADERS = frozenset(("impl_item", "arrow_function", "function_expression", "generator_function"))
"""Node types that enclose code under a header line without being a definition of their own."""

BODIES = _words(
    "block statement_block compound_statement class_body interface_body enum_body enum_body_declarations "
    "constructor_body declaration_list field_declaration_list enumerator_list enum_member_declaration_list "
    "enum_variant_list switch_body switch_block match_block accessor_list object_type "
    # in Go the cases stand in the statement itself
    "expression_switch_statement type_switch_statement select_statement"
)
"""What a statement or a definition with a body has below it."""

HANDLERS = _words("except_clause except_group_clause finally_clause")
"""One of these belongs to each `try` of Python."""

COMMENTS = frozenset(("comment", "line_comment", "block_comment", "html_comment"))
STRINGS = _words(
    "string template_string regex string_literal raw_string_literal char_literal character_literal "
    "interpreted_string_literal rune_literal verbatim_string_literal interpolated_string_expression "
    "system_lib_string"
)
INTERPOLATIONS = frozenset(("interpolation", "template_substitution"))
QUOTES = frozenset(("string_start", '"', "'", "`", 'R"', '"""'))

_JAVASCRIPT_IMPORTS = """
(import_clause (identifier) @name)
(import_specifier name: (identifier) @name)
(import_specifier alias: (identifier) @name)
(namespace_import (identifier) @name)
(variable_declarator name: (identifier) @name
  value: (call_expression function: (identifier) @f) (#eq? @f "require"))
(variable_declarator name: (object_pattern (shorthand_property_identifier_pattern) @name)
  value: (call_expression function: (identifier) @f) (#eq? @f "require"))
(variable_declarator name: (object_pattern (pair_pattern key: (property_identifier) @name value: (identifier) @name))
  value: (call_expression function: (identifier) @f) (#eq? @f "require"))
"""
_TYPESCRIPT_IMPORTS = _JAVASCRIPT_IMPORTS + "(import_require_clause (identifier) @name)"
_C_IMPORTS = "(preproc_include path: (string_literal (string_content) @path))"

IMPORTS: Mapping[str, str] = MappingProxyType(
    {
        "python": """
(import_statement name: (dotted_name . (identifier) @name))
(import_statement name: (aliased_import name: (dotted_name (identifier) @name .) alias: (identifier) @name))
(import_from_statement name: (dotted_name (identifier) @name .))
(import_from_statement name: (aliased_import name: (dotted_name (identifier) @name .) alias: (identifier) @name))
""",
        "javascript": _JAVASCRIPT_IMPORTS,
        "typescript": _TYPESCRIPT_IMPORTS,
        "tsx": _TYPESCRIPT_IMPORTS,
        "java": "(import_declaration (scoped_identifier name: (identifier) @name) .)",
        "go": """
(import_spec name: (package_identifier) @name)
(import_spec !name path: (_) @path)
""",
        "rust": """
(use_declaration argument: (identifier) @name)
(use_declaration argument: (scoped_identifier name: (identifier) @name))
(use_list (identifier) @name)
(use_list (scoped_identifier name: (identifier) @name))
(use_as_clause path: (identifier) @name)
(use_as_clause path: (scoped_identifier name: (identifier) @name))
(use_as_clause alias: (identifier) @name)
(scoped_use_list path: (identifier) @name list: (use_list (self)))
(scoped_use_list path: (scoped_identifier name: (identifier) @name) list: (use_list (self)))
(extern_crate_declaration name: (identifier) @name)
""",
        "c": _C_IMPORTS,
        "cpp": _C_IMPORTS + "(using_declaration (qualified_identifier name: (identifier) @name))",
        "csharp": """
(using_directive (identifier) @name)
(using_directive (qualified_name name: (identifier) @name))
""",
    }
)
"""Grammar -> query. `@name` is a name that an import brings, `@path` a path whose last part is one."""
