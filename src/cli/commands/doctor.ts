import type { Command } from 'commander'
import { addInspectionOptions, type InspectionOptions } from './inspection-options.ts'

export interface DoctorActions {
  doctor(options: DoctorOptions): Promise<number>
}

export interface DoctorOptions extends InspectionOptions {
  /** Makes key pairs of every spec, and a master key in each token, which it destroys. */
  readonly full?: boolean
}

/** Adds `doctor` to the program. */
export function addDoctorCommand(
  program: Command,
  actions: DoctorActions,
  settle: (ended: Promise<number>) => Promise<void>,
  configFile: string,
): void {
  addInspectionOptions(program.command('doctor'), configFile)
    .description(
      'Try everything that the service needs, say what is wrong and what to do. Runs beside a service; logs in to each token once.',
    )
    .option(
      '--full',
      'make key pairs of every spec, and a master key in each token, which is tried and destroyed',
    )
    .action((options: DoctorOptions) => settle(actions.doctor(options)))
}
