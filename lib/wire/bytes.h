/* SPDX-License-Identifier: BSD-3-Clause */
/* Borrowed bytes, and the two cursors through which every byte of the protocol is read and written. */
#ifndef NVC_WIRE_BYTES_H
#define NVC_WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that belong to somebody else; never freed, never written through. */
struct nvc_slice {
	const uint8_t *data;
	size_t len;
};

#define NVC_SLICE(array) ((struct nvc_slice){(array), sizeof(array)})

/* A reading cursor. An access past the end returns zeros and makes `failed` stick. */
struct nvc_reader {
	struct nvc_slice in;
	size_t pos;
	bool failed;
};

/* A writing cursor over the caller's buffer. A write past `cap` writes nothing and makes `failed` stick. */
struct nvc_writer {
	uint8_t *data;
	size_t cap;
	size_t len;
	bool failed;
};

/* nvc_slice_of returns a slice over `len` bytes at `data`. */
struct nvc_slice nvc_slice_of(const void *data, size_t len);

/* nvc_slice_str returns a slice over the characters of `text` without its NUL. */
struct nvc_slice nvc_slice_str(const char *text);

/* nvc_slice_sub returns at most `len` bytes of `in` from `offset`; what lies outside is cut off. */
struct nvc_slice nvc_slice_sub(struct nvc_slice in, size_t offset, size_t len);

/* nvc_slice_equal tells whether both hold the same bytes. Not constant time; see nvc_secret_equal. */
bool nvc_slice_equal(struct nvc_slice a, struct nvc_slice b);

/* nvc_slice_is_zero tells whether every byte is zero; true for an empty slice. */
bool nvc_slice_is_zero(struct nvc_slice in);

/* nvc_hex writes `in` as lower-case hex into `out` (`size` bytes, NUL included; longer input is cut
 * and ends in ".."). Returns `out`. */
char *nvc_hex(struct nvc_slice in, char *out, size_t size);

/* nvc_reader_of starts reading `in` at its first byte. */
struct nvc_reader nvc_reader_of(struct nvc_slice in);

/* nvc_read_le takes an unsigned little-endian integer of `size` bytes (1 to 8). */
uint64_t nvc_read_le(struct nvc_reader *reader, size_t size);

/* nvc_read_bytes takes the next `len` bytes as a slice of the input. */
struct nvc_slice nvc_read_bytes(struct nvc_reader *reader, size_t len);

/* nvc_read_left returns how many bytes have not been taken. */
size_t nvc_read_left(const struct nvc_reader *reader);

/* nvc_writer_over starts writing at the beginning of `data` (`cap` bytes). */
struct nvc_writer nvc_writer_over(void *data, size_t cap);

/* nvc_write_le appends `value` as `size` bytes (1 to 8), little-endian; higher bytes are cut off. */
void nvc_write_le(struct nvc_writer *writer, uint64_t value, size_t size);

/* nvc_write_bytes appends `in`. */
void nvc_write_bytes(struct nvc_writer *writer, struct nvc_slice in);

/* nvc_write_zeros appends `len` zero bytes. */
void nvc_write_zeros(struct nvc_writer *writer, size_t len);

/* nvc_writer_slice returns what has been written so far. */
struct nvc_slice nvc_writer_slice(const struct nvc_writer *writer);

/* nvc_put_le overwrites `size` bytes (1 to 8) at `out` with `value`, little-endian. */
void nvc_put_le(uint8_t *out, uint64_t value, size_t size);

/* nvc_get_le returns the little-endian integer of `size` bytes (1 to 8) at `in`. */
uint64_t nvc_get_le(const uint8_t *in, size_t size);

#endif
