/* SPDX-License-Identifier: BSD-3-Clause */
/* How functions of the library say that they did not succeed. */
#ifndef NVC_WIRE_RESULT_H
#define NVC_WIRE_RESULT_H

/* The one result type of the library. Zero is success; nothing else is encoded in it. */
enum nvc_result {
	NVC_OK = 0,
	NVC_E_TRUNCATED, /* the input ended before the value it announced */
	NVC_E_MALFORMED, /* the input contradicts its own layout */
	NVC_E_INVALID,	 /* the caller's argument (key, name, option) cannot be used */
	NVC_E_NO_SPACE,	 /* the caller's buffer or a fixed table is full */
	NVC_E_NO_MEMORY,
	NVC_E_CRYPTO,  /* OpenSSL refused */
	NVC_E_TIMEOUT, /* nothing came within the bound */
	NVC_E_CLOSED,  /* the peer closed (FIN, or TLS close_notify) */
	NVC_E_RESET,   /* the peer reset the TCP connection */
	NVC_E_REFUSED, /* nobody listens there */
	NVC_E_TLS,     /* the TLS handshake or a record failed */
	NVC_E_SYSTEM,  /* an operating-system call failed */
	NVC_E_STATE,   /* the call does not fit the object's state */
	NVC_NUM_RESULTS
};

/* The first thing that went wrong, in one line for a person: what, where and what to do. */
struct nvc_error {
	enum nvc_result result;
	char text[320];
};

/* nvc_result_name returns the constant name of `result` for messages, e.g. "timeout". Static storage. */
const char *nvc_result_name(enum nvc_result result);

/*
 * nvc_fail records `result` and the formatted line in `err` unless `err` is NULL or already holds an
 * error (the first error wins), and returns `result`, so that a function can `return nvc_fail(...)`.
 */
enum nvc_result nvc_fail(struct nvc_error *err, enum nvc_result result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
