// The chapters, in the order in which they are run.

import * as drain from "./drain.mjs";
import * as exec from "./exec.mjs";
import * as http from "./http.mjs";
import * as idle from "./idle.mjs";
import * as instances from "./instances.mjs";
import * as instructions from "./instructions.mjs";
import * as logged from "./logged.mjs";
import * as pickup from "./pickup.mjs";
import * as promote from "./promote.mjs";
import * as rpc from "./rpc.mjs";
import * as size from "./size.mjs";
import * as sqlite from "./sqlite.mjs";
import * as start from "./start.mjs";

export const CHAPTERS = new Map(
  Object.entries({ size, drain, logged, sqlite, exec, rpc, http, pickup, start, promote, idle, instances, instructions }),
);
