/** What can be done with a path, as commands. */

import { CommandList, quoted } from "./commandlist";
import { Route } from "./route";

/** `file`: its name in the job, or the one that it would get; `scale`: of its arrows. */
export function tellPath(
  commands: CommandList,
  folder: string,
  file: string,
  route: Route,
  scale: number,
): void {
  const after = route.plan ? "after that: " : "";
  const longer = scale > 0 && scale !== 1 ? ` --scale ${scale}` : "";
  const round = route.closed ? " --closed" : "";
  commands.put(
    "path maps",
    `cryomix reconstruct ${folder} --trajectory ${quoted(file)} --no-clusters`,
    `${after}maps along this path`,
  );
  commands.put(
    "path drawn",
    `cryomix draw ${folder} ${quoted(file)}${longer}${round} -o ${quoted(file + "_drawings")}`,
    `${after}arrows and movies`,
  );
  commands.put(
    "path scene",
    `cryomix export ${folder} --to chimerax --along ${quoted(file)}${longer} -o ${quoted(file + "_scene")}`,
    `${after}for ChimeraX, maps and arrows along this path; then open show.cxc`,
  );
  const note = "this path, for draw, decode, export and reconstruct";
  if (route.plan) commands.put("path laid", route.command, note);
}
