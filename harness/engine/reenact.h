/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's `reenact`: the host side of a capture is done again to another target, and the answers are compared. */
#ifndef NVC_ENGINE_REENACT_H
#define NVC_ENGINE_REENACT_H

#include <jansson.h>

#include "wire/result.h"

/* engine_reenact re-enacts a capture as `config` says (docs/captures.md) and writes the events to standard output. */
enum nvc_result engine_reenact(const json_t *config, struct nvc_error *err);

#endif
