"""Which nodes of a syntax tree may be the middle of a training sample: one tree-sitter query per grammar.

The node types are those of the grammars' own `node-types.json`. Captures:

- `@expression` and `@statement`: as the language means them. Names and numbers alone are left out, they say little.
- `@block`: the body of an if, a loop, a try, a with or a switch, or one case of a switch.
- `@body`: the body of a function, a method, a constructor or a closure.
- `@member`: what stands directly in a class, an interface or an enum. In Go, where methods stand outside of their
  type, these and the fields of a struct.
- `@arguments`: the arguments of a call, with their brackets.
- `@function`: a function with all that belongs to it (decorators, `export`). With the comment above it, it is the
  kind "comment and function".
- `@documented`: a function whose comment lies inside of it, as Python's docstring does.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _any(types: str, capture: str) -> str:
    """A query for nodes of any of these types, wherever they stand."""
    return f"[{' '.join(f'({name})' for name in types.split())}] @{capture}\n"


def _fields(types: str, field: str, inner: str, capture: str) -> str:
    """A query for nodes of the types `inner` in this field of nodes of these types."""
    wanted = f"[{' '.join(f'({name})' for name in inner.split())}]"
    return "".join(f"({name} {field}: {wanted} @{capture})\n" for name in types.split())


def _children(types: str, inner: str, capture: str) -> str:
    """A query for nodes of the types `inner` directly below nodes of these types."""
    wanted = f"[{' '.join(f'({name})' for name in inner.split())}]"
    return "".join(f"({name} {wanted} @{capture})\n" for name in types.split())


_PYTHON = (
    _any(
        "call attribute subscript binary_operator boolean_operator comparison_operator not_operator unary_operator "
        "conditional_expression lambda list dictionary set tuple list_comprehension dictionary_comprehension "
        "set_comprehension generator_expression await string concatenated_string named_expression",
        "expression",
    )
    + _any(
        "expression_statement return_statement raise_statement assert_statement delete_statement if_statement "
        "for_statement while_statement try_statement with_statement match_statement import_statement "
        "import_from_statement global_statement nonlocal_statement",
        "statement",
    )
    + _fields("if_statement elif_clause", "consequence", "block", "block")
    + _fields("for_statement while_statement try_statement with_statement else_clause", "body", "block", "block")
    + _fields("match_statement", "body", "block", "block")
    + _fields("case_clause", "consequence", "block", "block")
    + _children("except_clause finally_clause", "block", "block")
    + _fields("function_definition", "body", "block", "body")
    + "(class_definition body: (block [(function_definition) (decorated_definition) (class_definition) "
    "(expression_statement)] @member))\n"
    + _any("argument_list", "arguments")
    + "(function_definition) @function\n(decorated_definition definition: (function_definition)) @function\n"
    + "(function_definition body: (block . (expression_statement (string)))) @documented\n"
)

_SCRIPT_FUNCTIONS = (
    "function_declaration generator_function_declaration function_expression generator_function method_definition "
    "arrow_function"
)
_SCRIPT = (
    _any(
        "call_expression new_expression member_expression subscript_expression binary_expression unary_expression "
        "update_expression ternary_expression assignment_expression augmented_assignment_expression "
        "await_expression yield_expression arrow_function function_expression object array string template_string",
        "expression",
    )
    + _any(
        "expression_statement variable_declaration lexical_declaration return_statement throw_statement if_statement "
        "for_statement for_in_statement while_statement do_statement try_statement switch_statement import_statement",
        "statement",
    )
    + _fields("if_statement", "consequence", "statement_block", "block")
    + _children("else_clause", "statement_block", "block")
    + _fields(
        "for_statement for_in_statement while_statement do_statement try_statement", "body", "statement_block", "block"
    )
    + _fields("catch_clause finally_clause", "body", "statement_block", "block")
    + _any("switch_body switch_case switch_default", "block")
    + _fields(_SCRIPT_FUNCTIONS, "body", "statement_block", "body")
    + _any("arguments", "arguments")
    + "[(function_declaration) (generator_function_declaration) (method_definition)] @function\n"
    + "(export_statement declaration: [(function_declaration) (generator_function_declaration)]) @function\n"
    + "(lexical_declaration (variable_declarator value: [(arrow_function) (function_expression)])) @function\n"
)
_JAVASCRIPT = (
    _SCRIPT
    + _any("jsx_element jsx_self_closing_element", "expression")
    + _children("class_body", "method_definition field_definition class_static_block", "member")
)
_TYPESCRIPT = (
    _SCRIPT
    + _any("as_expression satisfies_expression", "expression")
    + _any("type_alias_declaration", "statement")
    + _children(
        "class_body",
        "method_definition public_field_definition method_signature abstract_method_signature index_signature",
        "member",
    )
    + _children("interface_body object_type", "property_signature method_signature index_signature", "member")
    + _children("enum_body", "enum_assignment", "member")
)

_JAVA = (
    _any(
        "method_invocation object_creation_expression field_access array_access binary_expression unary_expression "
        "update_expression ternary_expression assignment_expression cast_expression instanceof_expression "
        "lambda_expression method_reference array_creation_expression array_initializer string_literal",
        "expression",
    )
    + _any(
        "expression_statement local_variable_declaration return_statement throw_statement if_statement for_statement "
        "enhanced_for_statement while_statement do_statement try_statement try_with_resources_statement "
        "yield_statement assert_statement import_declaration",
        "statement",
    )
    + "(block (switch_expression) @statement)\n"
    + _fields("if_statement", "consequence", "block", "block")
    + _fields("if_statement", "alternative", "block", "block")
    + _fields(
        "for_statement enhanced_for_statement while_statement do_statement try_statement try_with_resources_statement "
        "catch_clause synchronized_statement",
        "body",
        "block",
        "block",
    )
    + _children("finally_clause switch_rule", "block", "block")
    + _any("switch_block switch_block_statement_group", "block")
    + _fields("method_declaration lambda_expression compact_constructor_declaration", "body", "block", "body")
    + _any("constructor_body", "body")
    + _children(
        "class_body interface_body enum_body_declarations",
        "method_declaration constructor_declaration compact_constructor_declaration field_declaration "
        "constant_declaration class_declaration interface_declaration enum_declaration record_declaration "
        "static_initializer",
        "member",
    )
    + _any("enum_constant", "member")
    + _any("argument_list", "arguments")
    + _any("method_declaration constructor_declaration compact_constructor_declaration", "function")
)

_GO = (
    _any(
        "call_expression selector_expression index_expression slice_expression binary_expression unary_expression "
        "composite_literal func_literal type_assertion_expression type_conversion_expression "
        "interpreted_string_literal raw_string_literal literal_value",
        "expression",
    )
    + _any(
        "expression_statement assignment_statement short_var_declaration inc_statement dec_statement "
        "return_statement if_statement for_statement expression_switch_statement type_switch_statement "
        "select_statement go_statement defer_statement send_statement var_declaration const_declaration",
        "statement",
    )
    + _fields("if_statement", "consequence", "block", "block")
    + _fields("if_statement", "alternative", "block", "block")
    + _fields("for_statement", "body", "block", "block")
    + _any("expression_case type_case communication_case default_case", "block")
    + _fields("function_declaration method_declaration func_literal", "body", "block", "body")
    + _any("field_declaration method_elem method_declaration", "member")
    + _any("argument_list", "arguments")
    + _any("function_declaration method_declaration", "function")
)

_RUST = (
    _any(
        "call_expression macro_invocation field_expression index_expression binary_expression unary_expression "
        "reference_expression try_expression await_expression assignment_expression compound_assignment_expr "
        "closure_expression struct_expression tuple_expression array_expression type_cast_expression "
        "range_expression string_literal raw_string_literal",
        "expression",
    )
    + _any("expression_statement let_declaration use_declaration const_item static_item", "statement")
    + _children("block", "if_expression match_expression for_expression while_expression loop_expression", "statement")
    + _fields("if_expression", "consequence", "block", "block")
    + _children("else_clause unsafe_block async_block", "block", "block")
    + _fields("for_expression while_expression loop_expression", "body", "block", "block")
    + _any("match_block match_arm", "block")
    + _fields("function_item closure_expression", "body", "block", "body")
    + "".join(
        f"({outer} body: (declaration_list [(function_item) (function_signature_item) (const_item) (type_item) "
        "(associated_type)] @member))\n"
        for outer in ("impl_item", "trait_item")
    )
    + _any("field_declaration enum_variant", "member")
    + _any("arguments", "arguments")
    + _any("function_item", "function")
)

_C = (
    _any(
        "call_expression field_expression subscript_expression binary_expression unary_expression update_expression "
        "conditional_expression assignment_expression cast_expression pointer_expression sizeof_expression "
        "compound_literal_expression initializer_list string_literal concatenated_string",
        "expression",
    )
    + _any(
        "expression_statement return_statement if_statement for_statement while_statement do_statement "
        "switch_statement goto_statement",
        "statement",
    )
    + _children("compound_statement case_statement", "declaration", "statement")
    + _fields("if_statement", "consequence", "compound_statement", "block")
    + _children("else_clause", "compound_statement", "block")
    + _fields("for_statement while_statement do_statement switch_statement", "body", "compound_statement", "block")
    + _any("case_statement", "block")
    + _fields("function_definition", "body", "compound_statement", "body")
    + _any("enumerator", "member")
    + _any("argument_list", "arguments")
    + _any("function_definition", "function")
)
_CPP = (
    _C
    + _any("new_expression lambda_expression delete_expression", "expression")
    + _any("throw_statement try_statement for_range_loop using_declaration co_return_statement", "statement")
    + _fields("for_range_loop try_statement catch_clause", "body", "compound_statement", "block")
    + _fields("lambda_expression", "body", "compound_statement", "body")
    + _children(
        "field_declaration_list", "field_declaration function_definition declaration template_declaration", "member"
    )
    + "(template_declaration (function_definition)) @function\n"
)
_C += _children("field_declaration_list", "field_declaration", "member")

_CSHARP = (
    _any(
        "invocation_expression object_creation_expression implicit_object_creation_expression "
        "member_access_expression element_access_expression binary_expression prefix_unary_expression "
        "postfix_unary_expression conditional_expression assignment_expression cast_expression await_expression "
        "is_pattern_expression as_expression lambda_expression switch_expression collection_expression "
        "initializer_expression query_expression string_literal interpolated_string_expression "
        "conditional_access_expression array_creation_expression with_expression",
        "expression",
    )
    + _any(
        "expression_statement local_declaration_statement return_statement throw_statement if_statement for_statement "
        "foreach_statement while_statement do_statement try_statement using_statement switch_statement "
        "lock_statement yield_statement using_directive",
        "statement",
    )
    + _fields("if_statement", "consequence", "block", "block")
    + _fields("if_statement", "alternative", "block", "block")
    + _fields(
        "for_statement foreach_statement while_statement do_statement try_statement using_statement",
        "body",
        "block",
        "block",
    )
    + _fields("catch_clause", "body", "block", "block")
    + _children("finally_clause lock_statement", "block", "block")
    + _any("switch_body switch_section", "block")
    + _fields(
        "method_declaration constructor_declaration operator_declaration local_function_statement "
        "lambda_expression accessor_declaration",
        "body",
        "block",
        "body",
    )
    + "".join(
        f"({outer} body: (declaration_list [(method_declaration) (constructor_declaration) (property_declaration) "
        "(field_declaration) (event_field_declaration) (indexer_declaration) (operator_declaration) "
        "(class_declaration) (enum_declaration) (record_declaration)] @member))\n"
        for outer in ("class_declaration", "interface_declaration", "struct_declaration", "record_declaration")
    )
    + _any("enum_member_declaration", "member")
    + _any("argument_list", "arguments")
    + _any("method_declaration constructor_declaration operator_declaration local_function_statement", "function")
)

QUERIES: Mapping[str, str] = MappingProxyType(
    {
        "python": _PYTHON,
        "javascript": _JAVASCRIPT,
        "typescript": _TYPESCRIPT,
        "tsx": _TYPESCRIPT + _any("jsx_element jsx_self_closing_element", "expression"),
        "java": _JAVA,
        "go": _GO,
        "rust": _RUST,
        "c": _C,
        "cpp": _CPP,
        "csharp": _CSHARP,
    }
)
"""Grammar -> query."""
