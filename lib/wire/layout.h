/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A layout is a figure of the specification as a table: one row per field. The same table encodes, decodes,
 * prints and (in tests/fuzz) fuzzes the message, so that no field is said twice. Offsets are those of the
 * figure; a field of variable length (NVC_VAR) starts where the one before it ends.
 */
#ifndef NVC_WIRE_LAYOUT_H
#define NVC_WIRE_LAYOUT_H

#include "wire/bytes.h"
#include "wire/result.h"

/* The text of a value, e.g. {2, "NEWTLSPSK"}; a table ends with a row whose text is NULL. */
struct nvc_name {
	uint64_t value;
	const char *text;
};

/* nvc_name_of returns the text of `value` in `names`, or NULL when the table does not have it. */
const char *nvc_name_of(const struct nvc_name *names, uint64_t value);

enum nvc_field_kind {
	NVC_UINT, /* little-endian unsigned integer; the member has exactly `size` bytes (1, 2, 4, 8) */
	NVC_CONST,    /* as NVC_UINT but `value` always; no member */
	NVC_RESERVED, /* zero when sent, not looked at when received; no member */
	NVC_BYTES,    /* `size` raw bytes; the member is an array of uint8_t */
	NVC_VAR, /* the member is a struct nvc_slice; its length on the wire is (member `count`) * `size` */
};

struct nvc_field {
	const char *name; /* the specification's name in lower case: "t_id", "sc_c", "halen" */
	enum nvc_field_kind kind;
	uint16_t offset; /* NVC_VAR: 0, runs on from the previous field */
	uint16_t size;	 /* bytes; NVC_VAR: bytes per unit of the count */
	uint16_t member; /* offsetof the member in the C struct */
	uint16_t count;	 /* NVC_VAR: offsetof the NVC_UINT member which counts the units */
	uint8_t count_size;
	uint64_t value;		      /* NVC_CONST */
	const struct nvc_name *names; /* for printing, or NULL */
};

struct nvc_layout {
	const char *name; /* "AUTH_Negotiate" */
	const struct nvc_field *fields;
	size_t num_fields;
	size_t fixed_len; /* bytes before the first NVC_VAR field */
	size_t struct_size;
};

/* How one encoding is bent on purpose. Bends are applied in order after everything else. */
enum nvc_bend_kind {
	NVC_BEND_SET, /* the field (also reserved and constant ones) gets `value`, cut to its size */
	NVC_BEND_BYTES, /* the bytes of the field are overwritten by `bytes` (may be shorter, never longer) */
	NVC_BEND_XOR,	   /* the last byte of the field is XORed with `value` */
	NVC_BEND_TRUNCATE, /* the message is cut to `value` bytes; `field` is not used */
	NVC_BEND_APPEND,   /* `bytes` are appended to the message; `field` is not used */
};

struct nvc_bend {
	const char *field;
	enum nvc_bend_kind kind;
	uint64_t value;
	struct nvc_slice bytes;
};

/* A list of bends; {NULL, 0} or a NULL pointer is an unbent message. */
struct nvc_bends {
	const struct nvc_bend *list;
	size_t num;
};

/* Convenience for callers: NVC_BENDS({.field = "sc_c", .kind = NVC_BEND_SET, .value = 9}, ...). */
#define NVC_BENDS(...)                                                                             \
	(&(const struct nvc_bends){(const struct nvc_bend[]){__VA_ARGS__},                         \
		sizeof((const struct nvc_bend[]){__VA_ARGS__}) / sizeof(struct nvc_bend)})

/*
 * nvc_encode appends `message` (a struct described by `layout`) to `writer`. Lengths in count members are
 * written as they stand in the struct, and NVC_VAR slices with the length they have, so the two may
 * disagree on purpose. Fails with NVC_E_NO_SPACE, or NVC_E_INVALID for a bend of an unknown field.
 */
enum nvc_result nvc_encode(const struct nvc_layout *layout, const void *message,
	const struct nvc_bends *bends, struct nvc_writer *writer);

/*
 * nvc_decode fills `message` from `in`; slices point into `in`. `num_read` (may be NULL) receives how many
 * bytes the message took, so that the caller notices trailing ones. Constant fields are checked
 * (NVC_E_MALFORMED), a message shorter than its lengths say is NVC_E_TRUNCATED.
 */
enum nvc_result nvc_decode(const struct nvc_layout *layout, struct nvc_slice in, void *message,
	size_t *num_read, struct nvc_error *err);

/* nvc_bend_apply applies one bend to the message that nvc_encode wrote at `start` of `writer` from `message`. Fails
 * with NVC_E_INVALID for an unknown field or one that is empty, longer `bytes` than the field has, and a cut that
 * would not shorten; a bend that changes nothing by accident would make a test that proves nothing. */
enum nvc_result nvc_bend_apply(const struct nvc_layout *layout, const void *message,
	const struct nvc_bend *bend, struct nvc_writer *writer, size_t start);

/* nvc_bend_bytes applies a SET, BYTES or XOR to the `len` bytes of a field at `place`; errors as nvc_bend_apply. */
enum nvc_result nvc_bend_bytes(const struct nvc_bend *bend, uint8_t *place, size_t len);

/* nvc_reserved_is_zero tells whether every reserved field of `layout` is zero in `in`; the name of the first
 * one that is not goes to `field` (may be NULL). Fields beyond the end of `in` are not looked at. */
bool nvc_reserved_is_zero(const struct nvc_layout *layout, struct nvc_slice in, const char **field);

/* nvc_print writes one line "NAME field=value ..." into `out`, cut to `size` bytes. Integers are decimal with
 * their name where a table has one ("sc_c=2 NEWTLSPSK"), bytes are hex, cut after 8 bytes. Returns `out`. */
char *nvc_print(const struct nvc_layout *layout, const void *message, char *out, size_t size);

#endif
