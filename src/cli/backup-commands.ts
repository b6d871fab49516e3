import type { Command } from './commands.ts'

/** What keeps, brings back and moves all data. They work on the data itself, without the service. */
export const backupCommands: readonly Command[] = [
  {
    path: ['admin', 'backup'],
    arguments: ['FILE'],
    flags: [
      {
        name: 'models',
        help: { en: 'With all models, not only adapters.', es: 'Con todos los modelos, no solo los adaptadores.' },
      },
      {
        name: 'secrets',
        help: {
          en: 'With the key that signs tokens, so that nobody has to log in again.',
          es: 'Con la clave que firma los tokens, para que nadie tenga que volver a iniciar sesión.',
        },
      },
    ],
    help: {
      en: 'Writes all that cannot be made again into one file; the service may run.',
      es: 'Guarda en un archivo todo lo que no se puede volver a hacer; el servicio puede estar en marcha.',
    },
    run: async (context) => (await import('./backup.ts')).backUp(context),
  },
  {
    path: ['admin', 'restore'],
    arguments: ['FILE'],
    flags: [],
    help: {
      en: 'Brings a backup back into an empty data folder and database.',
      es: 'Recupera una copia en una carpeta de datos y una base vacías.',
    },
    run: async (context) => (await import('./backup.ts')).restore(context),
  },
  {
    path: ['admin', 'migrate-data'],
    arguments: [],
    flags: [
      {
        name: 'to',
        value: 'URL',
        help: { en: 'The empty database: postgres://…, or a file.', es: 'La base vacía: postgres://…, o un archivo.' },
      },
    ],
    help: {
      en: 'Copies all rows of the database into another one, such as PostgreSQL, and compares them.',
      es: 'Copia todas las filas de la base a otra, como PostgreSQL, y las compara.',
    },
    run: async (context) => (await import('./migrate-data.ts')).migrateData(context),
  },
]
