/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of a layout, for the files that define layouts. Offsets come first, as in the figures. */
#ifndef NVC_WIRE_ROWS_H
#define NVC_WIRE_ROWS_H

#include "wire/layout.h"

#define ROW_SIZEOF(type, member_) sizeof(((type *)0)->member_)

/* An integer of the struct. `text` is the specification's name, `names_` its table or NULL. */
#define ROW_UINT(offset_, type, member_, text, names_)                                             \
	{                                                                                          \
		.name = (text), .kind = NVC_UINT, .offset = (offset_),                             \
		.size = ROW_SIZEOF(type, member_), .member = offsetof(type, member_),              \
		.names = (names_)                                                                  \
	}

#define ROW_CONST(offset_, size_, text, value_)                                                    \
	{                                                                                          \
		.name = (text), .kind = NVC_CONST, .offset = (offset_), .size = (size_),           \
		.value = (value_)                                                                  \
	}

/* A reserved field is named after its offset: "reserved12". */
#define ROW_RESERVED(offset_, size_)                                                               \
	{                                                                                          \
		.name = "reserved" #offset_, .kind = NVC_RESERVED, .offset = (offset_),            \
		.size = (size_)                                                                    \
	}

#define ROW_BYTES(offset_, type, member_, text)                                                    \
	{                                                                                          \
		.name = (text), .kind = NVC_BYTES, .offset = (offset_),                            \
		.size = ROW_SIZEOF(type, member_), .member = offsetof(type, member_)               \
	}

/* A slice of `unit` bytes times what `count_` says. */
#define ROW_VAR(type, member_, text, count_, unit)                                                 \
	{                                                                                          \
		.name = (text), .kind = NVC_VAR, .size = (unit),                                   \
		.member = offsetof(type, member_), .count = offsetof(type, count_),                \
		.count_size = ROW_SIZEOF(type, count_)                                             \
	}

#define LAYOUT(text, rows, type, fixed)                                                            \
	{                                                                                          \
		.name = (text), .fields = (rows), .num_fields = sizeof(rows) / sizeof(*(rows)),    \
		.fixed_len = (fixed), .struct_size = sizeof(type)                                  \
	}

#endif
