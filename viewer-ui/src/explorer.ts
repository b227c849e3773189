/** The map of the particles beside the molecule, and what is done with both. */

import { CommandList } from "./commandlist";
import { Connection } from "./connection";
import { MapControls, wireModel } from "./controls";
import { Page, make, short } from "./dom";
import { Domains } from "./domains";
import { FscPanel } from "./fscplot";
import { wireKeys } from "./keys";
import { LatentMap } from "./latentmap";
import { modelLegend } from "./legend";
import { MapLegend } from "./maplegend";
import { ModelView } from "./modelview";
import { MotionPanel } from "./motion";
import { Overlay } from "./overlay";
import { Answer, Job } from "./protocol";
import { renew } from "./renewal";
import { hasClusters, showCount, wireSelection } from "./selectionpanel";
import { wireTheme } from "./theme";
import { mark, trace } from "./trace";
import { TurnPanel } from "./turnpanel";
import { wireMenu } from "./viewmenu";

const FAR = 2; // times the usual reach: above, few particles are near
const NEAR = 0.8;

export class Explorer {
  readonly map: LatentMap;
  readonly view: ModelView;
  readonly commands: CommandList;
  readonly motion: MotionPanel;
  readonly controls: MapControls;
  readonly overlay: Overlay;
  private turns?: TurnPanel;
  readonly curves: FscPanel;
  private legend: MapLegend;
  onRenewed: () => void = () => {}; // `job` has other content

  onShow: (answer: Answer) => void = () => {};
  onChoose: () => void = () => {};

  /** Of a job whose model of the neutral state is known. */
  constructor(
    readonly page: Page,
    readonly connection: Connection,
    readonly job: Job,
    neutral: Answer,
  ) {
    page.element("explorer").hidden = page.element("panels").hidden = false;
    this.map = new LatentMap(page, page.element("map"), page.element("over"), job.particles);
    const domains = new Domains(job.domains, neutral.model);
    this.view = new ModelView(page, page.element("model"), neutral.model, domains);
    this.commands = new CommandList(page, connection);
    this.controls = new MapControls(this);
    this.overlay = new Overlay(page, connection, this.view, (text) => this.say(text, true));
    this.motion = new MotionPanel(this);
    this.curves = new FscPanel(page, connection, (text) => this.say(text, true));
    this.legend = new MapLegend(page, this.map);
    this.listen();
    this.turns = new TurnPanel(this);
    wireModel(this);
    wireMenu(this);
    wireSelection(this);
    wireKeys(this);
    wireTheme(page, () => {
      this.map.draw();
      this.view.refresh();
      this.overlay.draw();
      this.motion.refresh();
      void this.motion.domains.draw();
      this.curves.draw();
    });
    this.commands.renew(job);
    this.take(neutral);
    page.onClose(() => {
      this.motion.stop();
      this.view.close();
    });
  }

  /** Once the first map is there. */
  async ready(): Promise<void> {
    await Promise.all([this.controls.showAxes(), this.overlay.refresh()]);
    if (hasClusters(this.job)) await this.connection.column("cluster"); // to count the chosen ones
  }

  /** Neutral model and domains of a job that has changed. */
  renewModel(neutral: Answer): void {
    const { job, view } = this;
    view.replace(neutral.model, new Domains(job.domains, neutral.model, view.domains));
    this.turns?.renew();
  }

  /** One line about what was done, or why not. */
  say(text: string, bad = false): void {
    const said = this.page.element("said");
    said.textContent = text;
    said.classList.toggle("bad", bad);
  }

  /** What models are compared with. */
  get referenceName(): string {
    return this.view.reference ? "A" : "neutral";
  }

  /** Show a model, and say how many particles are near. */
  take(answer: Answer): void {
    const { page } = this;
    this.motion.current = answer;
    this.view.show(answer.model);
    this.onShow(answer);
    page.button("pin-a").disabled = page.button("pin-b").disabled = false;
    const note = page.element("reach");
    note.replaceChildren();
    if (!Number.isFinite(answer.reach)) return;
    const far = answer.reach > FAR;
    make("div", densityWords(answer.reach), note).className = far ? "far" : "";
    make("div", `nearest 50 within ${short(answer.reach)} × the usual distance`, note);
  }

  private listen(): void {
    const { page, connection, map, view, motion } = this;
    connection.onAnswer = (answer, milliseconds) => {
      this.take(answer);
      trace.latencies.push(milliseconds);
      trace.answers.push(answer.number);
      trace.latest = answer;
      mark("answered");
    };
    connection.onLost = () => motion.stop();
    connection.onJob = (job) => void renew(this, job);
    map.onCursor = (x, y) => {
      motion.stop();
      page.element("place").textContent = `${short(x)}, ${short(y)}`;
      this.controls.ask(x, y);
    };
    map.onDraw = () => {
      this.legend.update();
      mark("map");
    };
    map.selection.onChange = () => {
      void showCount(this);
      map.draw();
      this.onChoose();
    };
    view.onColors = () => {
      modelLegend(page.element("model-legend"), view, this.referenceName);
      this.turns?.refresh();
    };
    view.onDraw = () => mark("model");
    this.overlay.onOffer = (names) => this.curves.offer(names);
    this.overlay.onChoose = (name) => void this.curves.follow(name);
    this.commands.onDone = () => void this.overlay.refresh();
    this.overlay.onNames = () => motion.refresh();
    this.commands.onShowMap = (name) => void this.overlay.show(name);
    this.commands.onShowCurve = (name) => void this.curves.open(name);
  }
}

function densityWords(reach: number): string {
  if (reach > FAR) return "few particles here: extrapolated";
  if (reach > 1 / NEAR) return "fewer particles here than usual";
  return reach < NEAR ? "many particles here" : "as many particles here as usual";
}
