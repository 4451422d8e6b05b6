/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's `run`: the cases of a configuration, each in a process of its own, as events. */
#ifndef NVC_ENGINE_RUN_H
#define NVC_ENGINE_RUN_H

#include <jansson.h>

#include "wire/result.h"

/* engine_run runs what `config` (docs/architecture.md, "The event stream") asks for and writes events to standard output. NVC_OK when it ran to the end, whatever
 * the verdicts; NVC_E_INVALID for a configuration that cannot be used; other results are the engine's own fault. */
enum nvc_result engine_run(const json_t *config, struct nvc_error *err);

/* engine_probe asks the target of `config` what it can do, and writes the probe event alone. Results as for engine_run. */
enum nvc_result engine_probe(const json_t *config, struct nvc_error *err);

/* engine_target serves the reference target on TCP as `config` asks until SIGTERM or SIGINT. */
enum nvc_result engine_target(const json_t *config, struct nvc_error *err);

#endif
