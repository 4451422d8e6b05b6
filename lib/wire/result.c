/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/result.h"

#include <stdarg.h>
#include <stdio.h>

const char *nvc_result_name(enum nvc_result result)
{
	static const char *const names[NVC_NUM_RESULTS] = {
		[NVC_OK] = "ok",
		[NVC_E_TRUNCATED] = "truncated",
		[NVC_E_MALFORMED] = "malformed",
		[NVC_E_INVALID] = "invalid",
		[NVC_E_NO_SPACE] = "no space",
		[NVC_E_NO_MEMORY] = "no memory",
		[NVC_E_CRYPTO] = "cryptography failed",
		[NVC_E_TIMEOUT] = "timeout",
		[NVC_E_CLOSED] = "closed",
		[NVC_E_RESET] = "reset",
		[NVC_E_REFUSED] = "connection refused",
		[NVC_E_TLS] = "TLS failed",
		[NVC_E_SYSTEM] = "system error",
		[NVC_E_STATE] = "wrong state",
	};

	if ((unsigned int)result >= NVC_NUM_RESULTS)
		return "unknown result";
	return names[result];
}

enum nvc_result nvc_fail(struct nvc_error *err, enum nvc_result result, const char *format, ...)
{
	va_list args;

	if (!err || err->result != NVC_OK)
		return result;
	err->result = result;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return result;
}
