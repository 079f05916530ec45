"""What the grammars' nodes mean for the flow of values: what binds a name, what runs again, what runs perhaps.

The names are those of the grammars' own `node-types.json`. One table serves all of them, as in `syntax_queries`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


VARIABLES = _words(
    "identifier shorthand_property_identifier shorthand_property_identifier_pattern shorthand_field_identifier "
    "implicit_parameter self"
)
"""Leaves that name a variable, where nothing below says otherwise."""

VALUES = _words(
    "integer float number true false none null nil nil_literal integer_literal float_literal number_literal "
    "boolean_literal null_literal real_literal decimal_integer_literal hex_integer_literal octal_integer_literal "
    "binary_integer_literal decimal_floating_point_literal hex_floating_point_literal int_literal imaginary_literal "
    "string template_string string_literal raw_string_literal char_literal character_literal "
    "interpreted_string_literal rune_literal verbatim_string_literal"
)
"""Literals: where a variable gets its value from, if not from another variable."""

_COMES, _COMPUTED = "comesFrom", "computedFrom"

TARGETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                # Python; JavaScript and TypeScript; Java, C and C++; Go; Rust
                *("assignment", "augmented_assignment", "for_in_clause"),
                *("assignment_expression", "augmented_assignment_expression"),
                *("short_var_declaration", "assignment_statement", "range_clause"),
                "compound_assignment_expr",
            ),
            ("left", _COMPUTED),
        ),
        **dict.fromkeys(("assignment_pattern", "object_assignment_pattern"), ("left", _COMES)),
        **dict.fromkeys(
            (
                *("default_parameter", "typed_default_parameter", "variable_declarator", "formal_parameter"),
                *("catch_formal_parameter", "resource", "instanceof_expression", "var_spec", "const_spec"),
                *("parameter_declaration", "const_item", "static_item", "parameter"),
                *("declaration_pattern", "declaration_expression", "catch_declaration"),
            ),
            ("name", _COMES),
        ),
        "named_expression": ("name", _COMPUTED),
        "as_pattern": ("alias", _COMES),
        "catch_clause": ("parameter", _COMES),
        "arrow_function": ("parameter", _COMES),
        "lambda_expression": ("parameters", _COMES),
        **dict.fromkeys(("init_declarator", "declaration"), ("declarator", _COMES)),
        "optional_parameter_declaration": ("declarator", _COMES),
        **dict.fromkeys(
            ("let_declaration", "let_condition", "match_arm", "required_parameter", "optional_parameter"),
            ("pattern", _COMES),
        ),
    }
)
"""Node -> the field whose names it binds, and how they are said to get their values: those of all other children."""

OTHER_TARGETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"parameter_declaration": ("declarator", _COMES), "parameter": ("pattern", _COMES)}
)
"""Where another grammar calls the field of the same node differently."""

LOOP_TARGETS: Mapping[str, str] = MappingProxyType(
    {
        "for_statement": "left",
        "for_in_statement": "left",
        "foreach_statement": "left",
        "enhanced_for_statement": "name",
        "for_range_loop": "declarator",
        "for_expression": "pattern",
    }
)
"""Loop over the items of something -> the field of the name that gets them."""

LOOPS = _words("while_statement do_statement while_expression loop_expression") | frozenset(LOOP_TARGETS)
"""What may run again: a name's value may come from further down."""

STEPS = _words("update_expression inc_statement dec_statement postfix_unary_expression prefix_unary_expression")
"""`i++`, where one of these has such an operator (in Go the statement is one)."""

BRANCH_FIELDS = _words("consequence alternative")
BRANCHES = _words(
    "switch_case switch_default switch_block_statement_group switch_rule expression_case default_case type_case "
    "communication_case match_arm case_statement switch_section switch_expression_arm case_clause "
    "except_clause except_group_clause catch_clause elif_clause else_clause"
)
"""What runs perhaps: names may have their values from it or from before it."""

SCOPES = _words(
    "function_definition function_declaration method_declaration lambda arrow_function function_expression "
    "generator_function generator_function_declaration func_literal closure_expression lambda_expression "
    "function_item method_definition local_function_statement constructor_declaration compact_constructor_declaration "
    "destructor_declaration anonymous_method_expression list_comprehension set_comprehension "
    "dictionary_comprehension generator_expression class_definition class_declaration class_specifier "
    "struct_specifier impl_item"
)
"""What binds names for itself alone."""

PARAMETERS = _words(
    "parameters lambda_parameters formal_parameters inferred_parameters closure_parameters parameter_list "
    "typed_parameter list_splat_pattern dictionary_splat_pattern rest_pattern object_pattern array_pattern pair_pattern"
)
"""Nodes in which a bare name is bound."""

FIRST = _words("for_in_clause")
"""Of a comprehension these run before what stands in front of them."""

AFTERWARDS: Mapping[str, str] = MappingProxyType({"match_arm": "value"})
"""The field that runs once the names are bound, where it is not `body`."""

FUNCTION_DECLARATOR = "function_declarator"
"""In C and C++ the name and the parameters of a function."""

MEMBERS = _words(
    "attribute subscript member_expression subscript_expression field_access array_access selector_expression "
    "index_expression field_expression member_access_expression element_access_expression pointer_expression "
    "unary_expression parenthesized_expression"
)
"""Targets that change a part of the variable that comes first in them."""

CALLED = "function"
"""The field of what is called: a bare name there is a variable only if something has bound it."""

NOT_WALKED = _words(
    "import_statement import_from_statement import_declaration package_clause package_declaration using_directive "
    "preproc_include use_declaration nonlocal_statement future_import_statement "
    "qualified_identifier scoped_identifier scoped_type_identifier dotted_name type line_comment block_comment "
    "comment"
)
NOT_VARIABLES = _words(
    "type returns return_type result attribute field property label superclass superclasses interfaces trait macro "
    "name type_parameters type_arguments operator scope path size"
)
"""Fields that hold no variable. A name that is bound stands in `TARGETS` and is looked at before this."""

NO_VARIABLE_IN = frozenset(((FUNCTION_DECLARATOR, "declarator"), ("keyed_element", "key")))
"""Of these nodes these fields hold none either: a function's name in C, a field's in a composite literal of Go."""

STEP_OPERATORS = _words("++ --")
