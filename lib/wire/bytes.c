/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/bytes.h"

#include <assert.h>
#include <string.h>

struct nvc_slice nvc_slice_of(const void *data, size_t len)
{
	return (struct nvc_slice){data, len};
}

struct nvc_slice nvc_slice_str(const char *text)
{
	return nvc_slice_of(text, strlen(text));
}

struct nvc_slice nvc_slice_sub(struct nvc_slice in, size_t offset, size_t len)
{
	if (offset >= in.len)
		return nvc_slice_of(in.data, 0);
	if (len > in.len - offset)
		len = in.len - offset;
	return nvc_slice_of(in.data + offset, len);
}

bool nvc_slice_equal(struct nvc_slice a, struct nvc_slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool nvc_slice_is_zero(struct nvc_slice in)
{
	for (size_t i = 0; i < in.len; i++)
		if (in.data[i])
			return false;
	return true;
}

char *nvc_hex(struct nvc_slice in, char *out, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	bool cut = size < 2 * in.len + 1;
	size_t num = cut ? (size < 3 ? 0 : (size - 3) / 2) : in.len;
	size_t pos = 0;

	for (size_t i = 0; i < num; i++) {
		out[pos++] = digits[in.data[i] >> 4];
		out[pos++] = digits[in.data[i] & 15];
	}
	if (cut && size >= 3) {
		out[pos++] = '.';
		out[pos++] = '.';
	}
	if (size)
		out[pos] = '\0';
	return out;
}

struct nvc_reader nvc_reader_of(struct nvc_slice in)
{
	return (struct nvc_reader){.in = in};
}

uint64_t nvc_get_le(const uint8_t *in, size_t size)
{
	uint64_t value = 0;

	assert(size >= 1 && size <= 8);
	for (size_t i = size; i > 0; i--)
		value = value << 8 | in[i - 1];
	return value;
}

void nvc_put_le(uint8_t *out, uint64_t value, size_t size)
{
	assert(size >= 1 && size <= 8);
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

uint64_t nvc_read_le(struct nvc_reader *reader, size_t size)
{
	struct nvc_slice bytes = nvc_read_bytes(reader, size);

	return bytes.len == size ? nvc_get_le(bytes.data, size) : 0;
}

struct nvc_slice nvc_read_bytes(struct nvc_reader *reader, size_t len)
{
	struct nvc_slice bytes = {NULL, 0};

	if (reader->failed || nvc_read_left(reader) < len) {
		reader->failed = true;
		return bytes;
	}
	bytes = nvc_slice_sub(reader->in, reader->pos, len);
	reader->pos += len;
	return bytes;
}

size_t nvc_read_left(const struct nvc_reader *reader)
{
	return reader->in.len - reader->pos;
}

struct nvc_writer nvc_writer_over(void *data, size_t cap)
{
	return (struct nvc_writer){.data = data, .cap = cap};
}

static uint8_t *grow(struct nvc_writer *writer, size_t len)
{
	uint8_t *place;

	if (writer->failed || writer->cap - writer->len < len) {
		writer->failed = true;
		return NULL;
	}
	place = writer->data + writer->len;
	writer->len += len;
	return place;
}

void nvc_write_le(struct nvc_writer *writer, uint64_t value, size_t size)
{
	uint8_t *place = grow(writer, size);

	if (place)
		nvc_put_le(place, value, size);
}

void nvc_write_bytes(struct nvc_writer *writer, struct nvc_slice in)
{
	uint8_t *place = grow(writer, in.len);

	if (place && in.len)
		memcpy(place, in.data, in.len);
}

void nvc_write_zeros(struct nvc_writer *writer, size_t len)
{
	uint8_t *place = grow(writer, len);

	if (place)
		memset(place, 0, len);
}

struct nvc_slice nvc_writer_slice(const struct nvc_writer *writer)
{
	return nvc_slice_of(writer->data, writer->len);
}
