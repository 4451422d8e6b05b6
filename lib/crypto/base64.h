/* SPDX-License-Identifier: BSD-3-Clause */
/* Base64 of RFC 4648 clause 4, canonical only: EVP_DecodeBlock alone forgives blanks, lengths and
 * loose bits. */
#ifndef NVC_CRYPTO_BASE64_H
#define NVC_CRYPTO_BASE64_H

#include "wire/bytes.h"
#include "wire/result.h"

/*
 * nvc_base64_check tells whether `text` is canonical base64 and puts the number of bytes it stands
 * for in `len`. NVC_E_MALFORMED with a diagnosis in `err` (may be NULL) which names the character
 * at fault by its position, counted from `first` (the position of the first character of `text` in
 * what the user gave), and never by itself.
 */
enum nvc_result nvc_base64_check(
	struct nvc_slice text, size_t first, size_t *len, struct nvc_error *err);

/* nvc_base64_decode appends the bytes of `text`, which nvc_base64_check has passed. NVC_E_NO_SPACE
 * unless `out` has room for 3 bytes per 4 characters, so also for those that padding takes off; the
 * caller wipes `out`. */
enum nvc_result nvc_base64_decode(struct nvc_slice text, struct nvc_writer *out);

/* nvc_base64_encode writes `in` as base64 with its NUL; `size` is 4 characters per 3 bytes begun,
 * and 1. NVC_E_NO_SPACE. */
enum nvc_result nvc_base64_encode(struct nvc_slice in, char *text, size_t size);

#endif
