/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/layout.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "wire/text.h"

const char *nvc_name_of(const struct nvc_name *names, uint64_t value)
{
	for (; names && names->text; names++)
		if (names->value == value)
			return names->text;
	return NULL;
}

/* Members have the byte order of the machine, so they are read through a variable of their own size. */
static uint64_t get_member(const void *message, size_t member, size_t size)
{
	const uint8_t *at = (const uint8_t *)message + member;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case 1:
		return *at;
	case 2:
		memcpy(&u16, at, sizeof(u16));
		return u16;
	case 4:
		memcpy(&u32, at, sizeof(u32));
		return u32;
	default:
		assert(size == 8);
		memcpy(&u64, at, sizeof(u64));
		return u64;
	}
}

static void set_member(void *message, size_t member, size_t size, uint64_t value)
{
	uint8_t *at = (uint8_t *)message + member;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (size) {
	case 1:
		*at = (uint8_t)value;
		break;
	case 2:
		memcpy(at, &u16, sizeof(u16));
		break;
	case 4:
		memcpy(at, &u32, sizeof(u32));
		break;
	default:
		assert(size == 8);
		memcpy(at, &value, sizeof(value));
	}
}

static struct nvc_slice get_slice(const void *message, const struct nvc_field *field)
{
	struct nvc_slice slice;

	memcpy(&slice, (const uint8_t *)message + field->member, sizeof(slice));
	return slice;
}

static void put_fixed(const struct nvc_field *field, const void *message, uint8_t *place)
{
	switch (field->kind) {
	case NVC_UINT:
		nvc_put_le(place, get_member(message, field->member, field->size), field->size);
		break;
	case NVC_CONST:
		nvc_put_le(place, field->value, field->size);
		break;
	case NVC_BYTES:
		memcpy(place, (const uint8_t *)message + field->member, field->size);
		break;
	case NVC_RESERVED:
	case NVC_VAR:
		break;
	}
}

enum nvc_result nvc_encode(const struct nvc_layout *layout, const void *message,
	const struct nvc_bends *bends, struct nvc_writer *writer)
{
	size_t start = writer->len;
	enum nvc_result result = NVC_OK;

	nvc_write_zeros(writer, layout->fixed_len);
	for (size_t i = 0; i < layout->num_fields && !writer->failed; i++) {
		const struct nvc_field *field = &layout->fields[i];

		if (field->kind == NVC_VAR)
			nvc_write_bytes(writer, get_slice(message, field));
		else
			put_fixed(field, message, writer->data + start + field->offset);
	}
	if (writer->failed)
		return NVC_E_NO_SPACE;
	for (size_t i = 0; bends && i < bends->num && result == NVC_OK; i++)
		result = nvc_bend_apply(layout, message, &bends->list[i], writer, start);
	return result;
}

static bool locate(const struct nvc_layout *layout, const void *message, const char *name,
	size_t *offset, size_t *len)
{
	size_t end = layout->fixed_len;

	for (size_t i = 0; i < layout->num_fields; i++) {
		const struct nvc_field *field = &layout->fields[i];

		*offset = field->kind == NVC_VAR ? end : field->offset;
		*len = field->kind == NVC_VAR ? get_slice(message, field).len : field->size;
		if (field->kind == NVC_VAR)
			end += *len;
		if (name && strcmp(field->name, name) == 0)
			return true;
	}
	return false;
}

enum nvc_result nvc_bend_bytes(const struct nvc_bend *bend, uint8_t *place, size_t len)
{
	if (len == 0)
		return NVC_E_INVALID;
	switch (bend->kind) {
	case NVC_BEND_SET:
		memset(place, 0, len);
		nvc_put_le(place, bend->value, len < 8 ? len : 8);
		return NVC_OK;
	case NVC_BEND_BYTES:
		if (bend->bytes.len > len)
			return NVC_E_INVALID;
		if (bend->bytes.len)
			memcpy(place, bend->bytes.data, bend->bytes.len);
		return NVC_OK;
	case NVC_BEND_XOR:
		place[len - 1] ^= (uint8_t)bend->value;
		return NVC_OK;
	case NVC_BEND_TRUNCATE:
	case NVC_BEND_APPEND:
		break;
	}
	return NVC_E_INVALID;
}

enum nvc_result nvc_bend_apply(const struct nvc_layout *layout, const void *message,
	const struct nvc_bend *bend, struct nvc_writer *writer, size_t start)
{
	size_t offset, len;

	switch (bend->kind) {
	case NVC_BEND_TRUNCATE:
		if (bend->value >= writer->len - start)
			return NVC_E_INVALID;
		writer->len = start + (size_t)bend->value;
		return NVC_OK;
	case NVC_BEND_APPEND:
		nvc_write_bytes(writer, bend->bytes);
		return writer->failed ? NVC_E_NO_SPACE : NVC_OK;
	case NVC_BEND_SET:
	case NVC_BEND_BYTES:
	case NVC_BEND_XOR:
		break;
	}
	if (!locate(layout, message, bend->field, &offset, &len))
		return NVC_E_INVALID;
	if (offset + len > writer->len - start) /* an earlier bend cut it off */
		return NVC_E_INVALID;
	return nvc_bend_bytes(bend, writer->data + start + offset, len);
}

static enum nvc_result take_fixed(const struct nvc_layout *layout, const struct nvc_field *field,
	const uint8_t *at, void *message, struct nvc_error *err)
{
	uint64_t value;

	switch (field->kind) {
	case NVC_UINT:
		set_member(message, field->member, field->size, nvc_get_le(at, field->size));
		break;
	case NVC_CONST:
		value = nvc_get_le(at, field->size);
		if (value != field->value)
			return nvc_fail(err, NVC_E_MALFORMED,
				"%s: %s is %" PRIx64 "h, not %" PRIx64 "h", layout->name,
				field->name, value, field->value);
		break;
	case NVC_BYTES:
		memcpy((uint8_t *)message + field->member, at, field->size);
		break;
	case NVC_RESERVED:
	case NVC_VAR:
		break;
	}
	return NVC_OK;
}

static enum nvc_result take_var(const struct nvc_layout *layout, const struct nvc_field *field,
	struct nvc_reader *reader, void *message, struct nvc_error *err)
{
	size_t len = (size_t)get_member(message, field->count, field->count_size) * field->size;
	size_t left = nvc_read_left(reader);
	struct nvc_slice slice = nvc_read_bytes(reader, len);

	if (reader->failed)
		return nvc_fail(err, NVC_E_TRUNCATED, "%s: %s takes %zu bytes and %zu are left",
			layout->name, field->name, len, left);
	memcpy((uint8_t *)message + field->member, &slice, sizeof(slice));
	return NVC_OK;
}

enum nvc_result nvc_decode(const struct nvc_layout *layout, struct nvc_slice in, void *message,
	size_t *num_read, struct nvc_error *err)
{
	struct nvc_reader reader = nvc_reader_of(in);
	struct nvc_slice fixed = nvc_read_bytes(&reader, layout->fixed_len);
	enum nvc_result result = NVC_OK;

	memset(message, 0, layout->struct_size);
	if (num_read)
		*num_read = 0;
	if (reader.failed)
		return nvc_fail(err, NVC_E_TRUNCATED, "%s: %zu bytes, it takes at least %zu",
			layout->name, in.len, layout->fixed_len);
	for (size_t i = 0; i < layout->num_fields && result == NVC_OK; i++) {
		const struct nvc_field *field = &layout->fields[i];

		if (field->kind == NVC_VAR)
			result = take_var(layout, field, &reader, message, err);
		else
			result =
				take_fixed(layout, field, fixed.data + field->offset, message, err);
	}
	if (result == NVC_OK && num_read)
		*num_read = reader.pos;
	return result;
}

bool nvc_reserved_is_zero(const struct nvc_layout *layout, struct nvc_slice in, const char **field)
{
	for (size_t i = 0; i < layout->num_fields; i++) {
		const struct nvc_field *row = &layout->fields[i];

		if (row->kind != NVC_RESERVED ||
			nvc_slice_is_zero(nvc_slice_sub(in, row->offset, row->size)))
			continue;
		if (field)
			*field = row->name;
		return false;
	}
	return true;
}

static void print_field(struct nvc_text *text, const struct nvc_field *field, const void *message)
{
	const char *name;
	uint64_t value;

	switch (field->kind) {
	case NVC_UINT:
		value = get_member(message, field->member, field->size);
		name = nvc_name_of(field->names, value);
		nvc_text_add(text, " %s=%" PRIu64 "%s%s", field->name, value, name ? " " : "",
			name ? name : "");
		break;
	case NVC_BYTES:
		nvc_text_add(text, " %s=", field->name);
		nvc_text_hex(
			text, nvc_slice_of((const uint8_t *)message + field->member, field->size));
		break;
	case NVC_VAR:
		nvc_text_add(text, " %s=", field->name);
		nvc_text_hex(text, get_slice(message, field));
		break;
	case NVC_CONST:
	case NVC_RESERVED:
		break;
	}
}

char *nvc_print(const struct nvc_layout *layout, const void *message, char *out, size_t size)
{
	struct nvc_text text = nvc_text_over(out, size);

	nvc_text_add(&text, "%s", layout->name);
	for (size_t i = 0; i < layout->num_fields; i++)
		print_field(&text, &layout->fields[i], message);
	return out;
}
