export * from '../../fleet/project-files';
